import type { UsageReport } from '../protocol.ts'

/** What the user's sandboxes have cost today, and what is left until the cap. */
export function UsageView({ usage: { spentCents, capCents } }: { usage: UsageReport }) {
  const leftCents = Math.max(0, capCents - spentCents)
  return (
    <p className="usage">
      <span>
        <b>{dollars(spentCents)}</b> spent today, <b>{dollars(leftCents)}</b> left
      </span>
      <meter
        min={0}
        max={capCents}
        high={capCents * 0.8}
        value={spentCents}
        aria-label="Share of the daily limit spent"
      />
    </p>
  )
}

function dollars(cents: number): string {
  return `$${(cents / 100).toFixed(cents > 0 && cents < 1 ? 4 : 2)}`
}
