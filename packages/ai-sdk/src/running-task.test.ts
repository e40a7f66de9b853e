import { expect, test } from 'vitest'
import { runningTask } from './running-task.ts'

test('a snapshot has the last 2,000 characters of a long thought, and the next thought starts anew', () => {
  const task = runningTask.collect()
  const think = (text: string, thoughtId: string) => task.add({ type: 'thinking', text, thoughtId })
  const parts = Array.from({ length: 500 }, (_, index) => `part ${index} `)
  for (const part of parts) think(part, 'a')
  expect(task.snapshot()).toMatchObject({ thinking: parts.join('').slice(-2000) })
  think('next', 'b')
  expect(task.snapshot()).toMatchObject({ thinking: 'next' })
})
