import { ApprovalView } from './approval-view.tsx'
import { CodeOutput } from './code-output.tsx'
import { FileLinks } from './file-links.tsx'
import { stateOf, stateText, titleOf, type ToolPart } from './tool-state.ts'

interface ToolViewProps {
  chatId: string
  part: ToolPart
  isLive: boolean
  /** Undefined if a later message exists: it is too late to decide. */
  onDecide: ((approvalId: string, isApproved: boolean) => void) | undefined
}

/** One tool call: what it does, its state, and what came of it so far. */
export function ToolView({ chatId, part, isLive, onDecide }: ToolViewProps) {
  const state = stateOf(part, isLive, onDecide !== undefined)
  const title = titleOf(part)
  const written = writtenFile(part)
  return (
    <section className="tool" aria-label={title} data-state={state}>
      <p className="title">
        <span>{title}</span>
        <span className="state">{stateText(part, state)}</span>
      </p>
      <Source part={part} />
      {part.type === 'tool-run_code' && part.state === 'output-available' && (
        <CodeOutput chatId={chatId} output={part.output} />
      )}
      {part.state === 'approval-requested' && onDecide && (
        <ApprovalView title={title} onDecide={(isApproved) => onDecide(part.approval.id, isApproved)} />
      )}
      {state === 'failed' && part.state === 'output-error' && <pre className="error">{part.errorText}</pre>}
      {written !== undefined && <FileLinks chatId={chatId} files={[written]} />}
    </section>
  )
}

/** The code that runs, or the text that is written. */
function Source({ part }: { part: ToolPart }) {
  if (part.type === 'tool-run_code' && part.input?.code !== undefined) {
    return (
      <details className="source">
        <summary>Code</summary>
        <pre tabIndex={0}>{part.input.code}</pre>
      </details>
    )
  }
  // The user must see what is approved, so it is not folded.
  const text = part.type === 'tool-write_file' ? part.input?.content : editText(part)
  return text === undefined ? undefined : (
    <pre className="content" tabIndex={0}>
      {text}
    </pre>
  )
}

function editText(part: ToolPart): string | undefined {
  if (part.type !== 'tool-edit_file' || part.input === undefined) return undefined
  return JSON.stringify(part.input, undefined, 2)
}

function writtenFile(part: ToolPart): { path: string; sizeBytes?: number } | undefined {
  if (part.state !== 'output-available') return undefined
  return part.type === 'tool-write_file' || part.type === 'tool-edit_file' ? { path: part.output.path } : undefined
}
