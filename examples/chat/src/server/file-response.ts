import type { Agent } from '@theazo/core'
import { FileError } from '@theazo/core'

const maxBytes = 20_000_000

/** Other types could run in the browser, so they are sent as plain bytes. */
const mediaTypes: Record<string, string> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  svg: 'image/svg+xml',
  csv: 'text/csv; charset=utf-8',
  txt: 'text/plain; charset=utf-8',
  md: 'text/plain; charset=utf-8',
  json: 'application/json',
}

/** A file of a sandbox's workspace as a download. A browser shows it inside a page only as an image. */
export async function fileResponse(agent: Agent, path: string, signal: AbortSignal): Promise<Response> {
  if (path.startsWith('/') || path.split('/').includes('..')) return refusal(404, 'There is no such file.')
  try {
    const bytes = await agent.files.read(path, { maxBytes, signal })
    const name = path.split('/').at(-1) ?? 'file'
    const extension = name.split('.').at(-1)?.toLowerCase() ?? ''
    return new Response(bytes, {
      headers: {
        'content-type': mediaTypes[extension] ?? 'application/octet-stream',
        'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(name).replaceAll("'", '%27')}`,
      },
    })
  } catch (error) {
    if (!FileError.isInstance(error)) throw error
    if (error.code === 'file_too_large') return refusal(413, 'The file is too large to download.')
    return refusal(404, 'There is no such file.')
  }
}

function refusal(status: number, error: string): Response {
  return Response.json({ error }, { status })
}
