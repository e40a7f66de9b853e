/**
 * The text of a run's answer. Its chunks arrive first, and the whole text arrives in the last event. This class finds the
 * part of the whole text that was not sent.
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
  unsentPart(whole: string): string {
    if (whole.startsWith(this.#sent)) return whole.slice(this.#sent.length)
    if (this.#sinceCall !== '' && whole.startsWith(this.#sinceCall)) return whole.slice(this.#sinceCall.length)
    // The server has removed white space at the ends of the answer, or the answer is not the text of the chunks.
    return this.#sent.trimEnd().endsWith(whole.trim()) ? '' : whole
  }
}
