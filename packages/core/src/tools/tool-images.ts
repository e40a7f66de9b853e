import { TheazoError } from '../errors.ts'
import { toBase64 } from '../files/base64.ts'
import type { ExecFile } from '../wire.ts'
import { filesOf, sizeText } from './files-of.ts'
import { type ImageInfo, imageInfo } from './image-info.ts'
import { hasAllPixels } from './png-pixels.ts'
import type { ToolSandbox } from './tool-sandbox.ts'

/** An image for the model in the result of a tool. */
export interface ToolImage {
  path: string
  mediaType: string
  base64: string
  /** Pixels. */
  width: number
  height: number
}

/** An image that a result names but does not contain. */
export interface HiddenImage {
  path: string
  /** Why the image is not shown, for the model. */
  reason: string
}

/** The images in the data of a tool. */
export interface ToolImages {
  images?: ToolImage[]
  hiddenImages?: HiddenImage[]
}

/** The cap on one image. As base64 it stays below the 5 MB that Anthropic accepts; OpenAI and Gemini accept more. */
const maxImageBytes = 3 * 1024 * 1024
/** The cap on width and height: Anthropic and Bedrock refuse a larger image. */
const maxSidePixels = 8000
/** The cap on the images of one result. */
const maxImages = 4
/** The cap on the bytes of all images of one result. */
const maxImagesBytes = 4 * 1024 * 1024

/** Names of image files. Only the first four formats can be shown. */
const imageName = /\.(png|jpe?g|gif|webp|bmp|tiff?|avif|heic|ico)$/i
/** The reason for {@link HiddenImage} if an adapter does not know whether the model accepts images. */
export const unknownModel = 'this model is not known to take images from tools'
/** The cap on named images that are not shown. */
const maxHidden = 20

/**
 * The data of a result without its images. Adapters pass images separately, because data goes into traces and checkpoints.
 *
 * @example
 * ```ts
 * import { readFile, withoutImages } from '@theazo/core/tools'
 *
 * const result = await readFile.run({ path: 'plot.png' }, { sandbox: agent })
 * if (!result.isError) console.log(JSON.stringify(withoutImages(result.data)), result.images.length)
 * ```
 */
export function withoutImages<Data extends object>(data: Data): Omit<Data, 'images'> {
  const { images: _images, ...rest } = data as Data & ToolImages
  return rest
}

/**
 * Decides from its bytes whether a file can be shown to a model. If an image is damaged, too large, or of a format that the
 * provider does not accept, the provider refuses the request and every later request of the conversation.
 */
export async function imageOf(
  path: string,
  bytes: Uint8Array,
  imagesOff: string | undefined,
): Promise<ToolImage | HiddenImage> {
  const info = imageInfo(bytes)
  if (!info) return { path, reason: 'not a PNG, JPEG, GIF or WebP image' }
  const reason = imagesOff ?? reasonNotShown(info, bytes.length) ?? (await pixelFault(info, bytes))
  if (reason !== undefined) return { path, reason }
  const { mediaType, width, height } = info
  return { path, mediaType, base64: toBase64(bytes), width, height }
}

function reasonNotShown({ width, height, isWhole, isAnimated }: ImageInfo, sizeBytes: number): string | undefined {
  if (!isWhole) return damaged
  if (width < 1 || height < 1) return 'it has no pixels'
  if (Math.max(width, height) > maxSidePixels) {
    return `${width}×${height} pixels; at most ${maxSidePixels} a side can be shown`
  }
  if (sizeBytes > maxImageBytes) return tooLarge(sizeBytes)
  return isAnimated ? 'it is animated' : undefined
}

const damaged = 'the file is damaged or not complete'

async function pixelFault({ mediaType }: ImageInfo, bytes: Uint8Array): Promise<string | undefined> {
  return mediaType === 'image/png' && !(await hasAllPixels(bytes)) ? damaged : undefined
}

/** True if the image can be shown. */
export function isShown(image: ToolImage | HiddenImage): image is ToolImage {
  return 'base64' in image
}

/** The images among the files that code created, up to the caps of one result. The others are named with the reason. */
export async function imagesAmong(
  sandbox: ToolSandbox,
  files: readonly ExecFile[],
  imagesOff: string | undefined,
  signal: AbortSignal | undefined,
): Promise<ToolImages> {
  const images = files.filter(({ path }) => imageName.test(path))
  const candidates = images.map(({ path, sizeBytes }) => {
    return { path, sizeBytes, open: (room: number) => read(sandbox, path, room, signal) }
  })
  return await withinCaps(candidates, imagesOff)
}

/**
 * The images that a tool has in memory, up to the caps of one result. The others are named with the reason.
 *
 * @param imagesOff why images must not be in the result; undefined if the model accepts them.
 * @example
 * ```ts
 * import { toolImages } from '@theazo/core/tools'
 *
 * const { images = [] } = await toolImages([{ path: 'image 1', bytes: new Uint8Array() }], undefined)
 * ```
 */
export async function toolImages(
  found: readonly { path: string; bytes: Uint8Array }[],
  imagesOff: string | undefined,
): Promise<ToolImages> {
  const candidates = found.map(({ path, bytes }) => {
    return { path, sizeBytes: bytes.length, open: () => imageOf(path, bytes, undefined) }
  })
  return await withinCaps(candidates, imagesOff)
}

interface Candidate {
  path: string
  sizeBytes: number
  /** @param room maximum bytes. */
  open: (room: number) => Promise<ToolImage | HiddenImage>
}

async function withinCaps(candidates: readonly Candidate[], imagesOff: string | undefined): Promise<ToolImages> {
  const images: ToolImage[] = []
  const hiddenImages: HiddenImage[] = []
  let room = maxImagesBytes
  const shown = async ({ path, sizeBytes, open }: Candidate): Promise<ToolImage | HiddenImage> => {
    if (imagesOff !== undefined) return { path, reason: imagesOff }
    if (images.length === maxImages) return { path, reason: `only ${maxImages} images are shown at a time` }
    if (sizeBytes > maxImageBytes) return { path, reason: tooLarge(sizeBytes) }
    if (sizeBytes > room) return { path, reason: `one result shows at most ${sizeText(maxImagesBytes)} of images` }
    return await open(room)
  }
  for (const candidate of candidates) {
    const image = await shown(candidate)
    if (!isShown(image)) hiddenImages.push(image)
    else {
      images.push(image)
      room -= (image.base64.length * 3) / 4
    }
  }
  const hidden = hiddenImages.slice(0, maxHidden)
  const more = hiddenImages.length - hidden.length
  if (more > 0) hidden.push({ path: `${more} more`, reason: 'see the files made or changed' })
  return { ...(images.length > 0 && { images }), ...(hidden.length > 0 && { hiddenImages: hidden }) }
}

/**
 * A text for the model that names the images it does not see.
 *
 * @example
 * ```ts
 * import { hiddenImagesText } from '@theazo/core/tools'
 *
 * const text = hiddenImagesText([{ path: 'plot.png', reason: 'images are switched off here' }])
 * ```
 */
export function hiddenImagesText(hidden: readonly HiddenImage[]): string {
  return hidden.map(({ path, reason }) => `[image not shown: ${path}: ${reason}]`).join('\n')
}

async function read(
  sandbox: ToolSandbox,
  path: string,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<ToolImage | HiddenImage> {
  try {
    return await imageOf(path, await filesOf(sandbox).read(path, { signal, maxBytes }), undefined)
  } catch (error) {
    // Another call may have removed the file. That must not fail the result of the code itself.
    if (signal?.aborted || !TheazoError.isInstance(error)) throw error
    return { path, reason: `it could not be read (${error.code})` }
  }
}

function tooLarge(sizeBytes: number): string {
  return `${sizeText(sizeBytes)}; at most ${sizeText(maxImageBytes)} can be shown`
}
