import { TheazoError } from '../errors.ts'
import { toBase64 } from '../files/base64.ts'
import type { ExecFile } from '../wire.ts'
import { filesOf, sizeText } from './files-of.ts'
import { type ImageInfo, imageInfo } from './image-info.ts'
import { hasAllPixels } from './png-pixels.ts'
import type { ToolSandbox } from './tool-sandbox.ts'

/** An image in a result, for the model to look at. */
export interface ToolImage {
  path: string
  mediaType: string
  base64: string
  /** Pixels. */
  width: number
  height: number
}

/** An image that a result names but does not show. */
export interface HiddenImage {
  path: string
  reason: string
}

/** How a tool puts images into its data. */
export interface ToolImages {
  images?: ToolImage[]
  hiddenImages?: HiddenImage[]
}

/** Bytes of one image: as base64 it stays below the 5 MB that Anthropic takes; OpenAI and Gemini take more. */
const maxImageBytes = 3 * 1024 * 1024
/** Pixels of a side: Anthropic and Bedrock refuse a larger image. */
const maxSidePixels = 8000
/** Images that one call shows, and their bytes in all. */
const maxImages = 4
const maxImagesBytes = 4 * 1024 * 1024

/** Files that a person calls an image; only the first four kinds can be shown. */
const imageName = /\.(png|jpe?g|gif|webp|bmp|tiff?|avif|heic|ico)$/i
/** The reason of an adapter that cannot tell whether a model takes images. */
export const unknownModel = 'this model is not known to take images from tools'
/** Images that a result names as not shown. */
const maxHidden = 20

/** The data of a result without its images: an adapter gives them apart, and data goes into traces and checkpoints. */
export function withoutImages<Data extends object>(data: Data): Omit<Data, 'images'> {
  const { images: _images, ...rest } = data as Data & ToolImages
  return rest
}

/**
 * Decides by its bytes whether a file can be shown to a model. A provider that is sent anything but a whole image of a
 * kind and size that it takes refuses the call, and every later call of the conversation.
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

/** The images among files that code made, as far as one result may carry them; the others with the reason. */
export async function imagesAmong(
  sandbox: ToolSandbox,
  files: readonly ExecFile[],
  imagesOff: string | undefined,
  signal: AbortSignal | undefined,
): Promise<ToolImages> {
  const images: ToolImage[] = []
  const hiddenImages: HiddenImage[] = []
  let room = maxImagesBytes
  const shown = async (path: string, sizeBytes: number): Promise<ToolImage | HiddenImage> => {
    if (imagesOff !== undefined) return { path, reason: imagesOff }
    if (images.length === maxImages) return { path, reason: `only ${maxImages} images are shown at a time` }
    if (sizeBytes > maxImageBytes) return { path, reason: tooLarge(sizeBytes) }
    if (sizeBytes > room) return { path, reason: `one result shows at most ${sizeText(maxImagesBytes)} of images` }
    return await read(sandbox, path, room, signal)
  }
  for (const { path, sizeBytes } of files.filter(({ path }) => imageName.test(path))) {
    const image = await shown(path, sizeBytes)
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

/** Text that names the images a model does not see. */
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
    // Another call may have removed it. The code's own result must not be lost with an image.
    if (signal?.aborted || !TheazoError.isInstance(error)) throw error
    return { path, reason: `it could not be read (${error.code})` }
  }
}

function tooLarge(sizeBytes: number): string {
  return `${sizeText(sizeBytes)}; at most ${sizeText(maxImageBytes)} can be shown`
}
