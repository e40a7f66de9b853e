import type { ResumeExtensions, RunBody, RunExtensions } from '@theazo/core'
import { z } from 'zod'
import { hasPromptSize, type Same, storedText, tooLongPrompt } from './schemas.ts'

const maxApprovalChars = 10_000

export const runBody = z.object({
  task: z
    .string('must be a string: the task for the agent')
    .min(1, 'must not be empty')
    .refine(hasPromptSize, tooLongPrompt),
  fresh: z.boolean('must be true or false').optional().meta({
    description: "True: the model does not see the agent's earlier tasks. Default false; files stay in both cases.",
  }),
})

/** A person's answer to a tool call that waits for an approval. Without such a call the body is empty. */
export const resumeBody = z
  .object({
    approve: z.boolean('must be true or false').optional(),
    callId: z.string().max(512, 'must be at most 512 characters').optional().meta({
      description: 'The id of the call. If another call waits by now, the answer is 409.',
    }),
    message: storedText.max(maxApprovalChars, `must be at most ${maxApprovalChars} characters`).optional().meta({
      description: 'For the model, with a refusal.',
    }),
  })
  .refine(({ approve, message }) => approve !== undefined || message === undefined, {
    path: ['approve'],
    message: 'must be true or false if there is a message',
  })

true satisfies Same<z.output<typeof runBody>, RunBody & RunExtensions>
true satisfies Same<z.output<typeof resumeBody>, ResumeExtensions>
