/**
 * The text of a run's answer, which arrives in chunks and then, in the last event, as a whole. It decides what of the
 * whole has not been sent yet.
 */
export class AnswerText {
  #sent = ''
  /** The text since the last tool call. The whole answer of some servers starts there. */
  #sinceCall = ''

  add(text: string): void {
    this.#sent += text
    this.#sinceCall += text
  }

  /** The next text belongs to another step of the remote agent. */
  startStep(): void {
    this.#sinceCall = ''
  }

  /** The text since the last tool call begins anew. */
  restart(): void {
    this.#sent = this.#sent.slice(0, this.#sent.length - this.#sinceCall.length)
    this.#sinceCall = ''
  }

  /** The part of the whole answer that was not sent. */
  missing(whole: string): string {
    if (whole.startsWith(this.#sent)) return whole.slice(this.#sent.length)
    if (this.#sinceCall !== '' && whole.startsWith(this.#sinceCall)) return whole.slice(this.#sinceCall.length)
    // The server has trimmed its answer, or it sends a text that its chunks did not lead to.
    return this.#sent.trimEnd().endsWith(whole.trim()) ? '' : whole
  }
}
