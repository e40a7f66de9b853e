/** The result of one check of `doctor`. */
export interface Finding {
  name: string
  /** `absent`: the server works without it. `missing`: the server does not start. */
  state: 'ok' | 'absent' | 'missing'
  says: string
  /** How to fix it. */
  fix?: string
}
