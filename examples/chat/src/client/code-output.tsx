import type { RunCodeOutput } from '@theazo/ai-sdk'
import { useLayoutEffect, useRef } from 'react'
import { FileLinks } from './file-links.tsx'

/** What code has printed so far, then its images and files. */
export function CodeOutput({ chatId, output }: { chatId: string; output: RunCodeOutput }) {
  const { stdout, stderr, images = [], files = [] } = output
  return (
    <>
      <Printed label="Output" text={stdout} />
      <Printed label="Errors" text={stderr} />
      {images.map(({ path, mediaType, base64, width, height }) => (
        <figure key={path}>
          <img
            src={`data:${mediaType};base64,${base64}`}
            alt={`Image ${path.split('/').at(-1)}`}
            width={width}
            height={height}
          />
        </figure>
      ))}
      {files.length > 0 && <FileLinks chatId={chatId} files={files} />}
    </>
  )
}

/** Shows the last lines while there is more text than room. */
function Printed({ label, text }: { label: string; text: string }) {
  const element = useRef<HTMLPreElement>(null)
  useLayoutEffect(() => {
    element.current?.scrollTo({ top: element.current.scrollHeight })
  }, [text])
  if (text === '') return undefined
  return (
    <pre ref={element} className={label.toLowerCase()} role="group" aria-label={label} tabIndex={0}>
      {text}
    </pre>
  )
}
