import { SandboxFiles } from '../files.ts'
import type { ToolImage } from './define-tool.ts'
import type { ToolSandbox } from './tool-sandbox.ts'

/** Bytes of one picture that is shown to a model. */
export const maxImageBytes: number = 3 * 1024 * 1024

/** The sandbox's files, whatever kind of sandbox it is. */
export function filesOf(sandbox: ToolSandbox): SandboxFiles {
  return sandbox.files ?? new SandboxFiles(sandbox)
}

/** The media type of a picture that models can look at, by its first bytes; undefined for anything else. */
export function imageType(bytes: Uint8Array): string | undefined {
  const head = String.fromCharCode(...bytes.subarray(0, 12))
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png'
  if (head.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (/^GIF8[79]a/.test(head)) return 'image/gif'
  return head.startsWith('RIFF') && head.endsWith('WEBP') ? 'image/webp' : undefined
}

/** How a tool says pictures in its output schema: shown to the model beside the text. */
export type Pictures = { images?: ToolImage[] }

/** The data of a result without its pictures: an adapter gives them apart, and data travels on into traces and checkpoints. */
export function withoutPictures<Data extends object>(data: Data): Omit<Data, 'images'> {
  const { images: _images, ...rest } = data as Data & Pictures
  return rest
}

/** For people and models: 12 bytes, 3.4 KiB, 5.6 MiB. */
export function sizeText(sizeBytes: number): string {
  if (sizeBytes < 1024) return `${sizeBytes} bytes`
  const inKiB = sizeBytes / 1024
  return inKiB < 1024 ? `${inKiB.toFixed(1)} KiB` : `${(inKiB / 1024).toFixed(1)} MiB`
}
