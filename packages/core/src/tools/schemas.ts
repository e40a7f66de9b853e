/**
 * Shapes that several tools share. Objects are open to fields that a newer server adds: a client that validates would
 * else lose the whole result.
 *
 * @module
 */
import { z } from 'zod/v4'
import type { Money } from '../wire.ts'
import type { HiddenImage, ToolImage } from './tool-images.ts'

/** Of a result that shows images. */
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

/** Of a result that names images which it does not show. */
export const hiddenImages: z.ZodType<HiddenImage[] | undefined> = z
  .array(z.looseObject({ path: z.string(), reason: z.string() }))
  .optional()

export const money: z.ZodType<Money> = z
  .object({ amount: z.number(), currency: z.string() })
  .passthrough() as unknown as z.ZodType<Money> // any currency passes: the output schema must never fail a result

export const path: z.ZodType<string> = z
  .string()
  .min(1)
  .max(4096)
  .describe('Path of the file; relative ones are below /workspace.')

/** A tool without input. */
export const nothing: z.ZodType<Record<string, never>> = z.object({}) as z.ZodType<Record<string, never>> // zod's own type has unknown values
