import { fileUrl, workspaceName } from './api.ts'

interface FileLinksProps {
  chatId: string
  files: readonly { path: string; sizeBytes?: number }[]
}

/** Files of the sandbox to download. */
export function FileLinks({ chatId, files }: FileLinksProps) {
  return (
    <ul className="files" aria-label="Files">
      {files.map(({ path, sizeBytes }) => {
        const url = fileUrl(chatId, path)
        const name = workspaceName(path)
        return (
          <li key={path}>
            {url === undefined ? (
              name
            ) : (
              <a href={url} download>
                {name}
              </a>
            )}
            {sizeBytes !== undefined && <small>{sizeText(sizeBytes)}</small>}
          </li>
        )
      })}
    </ul>
  )
}

function sizeText(bytes: number): string {
  return bytes < 1000
    ? `${bytes} bytes`
    : bytes < 1_000_000
      ? `${(bytes / 1000).toFixed(1)} kB`
      : `${(bytes / 1_000_000).toFixed(1)} MB`
}
