import { anthropic } from '@ai-sdk/anthropic'
import { theazoTools } from '@theazo/ai-sdk'
import { generateText, isStepCount } from 'ai'

const model = anthropic('claude-sonnet-5-5')
const { text } = await generateText({
  model,
  prompt: 'What is the 1,000th prime number? Compute it.',
  tools: theazoTools({ userId: 'user_123', model }),
  stopWhen: isStepCount(10),
})
console.log(text)
