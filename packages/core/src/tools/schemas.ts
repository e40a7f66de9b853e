/**
 * Schemas that several tools share. Unknown fields pass: otherwise a client that validates would lose the whole result of a
 * newer server.
 *
 * @module
 */
import { z } from 'zod/v4'
import type { Money } from '../wire.ts'
import type { HiddenImage, ToolImage } from './tool-images.ts'

/** The images in the data of a tool. */
export const images: z.ZodType<ToolImage[] | undefined> = z
  .array(
    z.looseObject({
      path: z.string(),
      mediaType: z.string(),
      base64: z.string(),
      width: z.number(),
      height: z.number(),
    }),
  )
  .optional()

/** The images that the data of a tool only names. */
export const hiddenImages: z.ZodType<HiddenImage[] | undefined> = z
  .array(z.looseObject({ path: z.string(), reason: z.string() }))
  .optional()

export const money: z.ZodType<Money> = z
  .object({ amount: z.number(), currency: z.string() })
  .passthrough() as unknown as z.ZodType<Money> // any currency passes: an output schema must never fail a result

export const path: z.ZodType<string> = z
  .string()
  .min(1)
  .max(4096)
  .describe('Path of the file. Relative paths start at /workspace.')

/** The input of a tool that has no fields. */
export const noInput: z.ZodType<Record<string, never>> = z.object({}) as z.ZodType<Record<string, never>> // zod's own type has unknown values
