interface ApprovalViewProps {
  title: string
  onDecide: (isApproved: boolean) => void
}

/** The question whether a call may run. */
export function ApprovalView({ title, onDecide }: ApprovalViewProps) {
  return (
    <div className="approval" role="group" aria-label={`Approval: ${title}`}>
      <span>May the assistant do this?</span>
      <button type="button" className="primary" onClick={() => onDecide(true)}>
        Approve
      </button>
      <button type="button" onClick={() => onDecide(false)}>
        Refuse
      </button>
    </div>
  )
}
