/** One check of `doctor`, with its result. */
export interface Finding {
  name: string
  /** The server runs without what is `absent`; it does not start if anything is `missing`. */
  state: 'ok' | 'absent' | 'missing'
  says: string
  /** How to mend it. */
  fix?: string
}
