/** How a tool presents its results and its progress to LangChain. */
export interface TheazoToolOptions {
  /**
   * True: the model receives images as content blocks of the tool message. False: the text only names them. Default: true
   * if the model is known to accept images from tools (Anthropic, OpenAI's Responses API), else false. The model's last
   * message in the graph's state identifies it. The Chat Completions API refuses a tool message with an image.
   */
  images?: boolean | undefined
  /**
   * `return` (default): an API error is a tool message with status `error`, which any middleware accepts. `throw`: the
   * error is thrown, e.g. for `toolRetryMiddleware`.
   */
  onError?: 'return' | 'throw' | undefined
  /**
   * The runs that tracers see below `run_task`: the remote agent's model steps and its tool calls. `hidden` (default):
   * the tool calls are absent from `streamMode: 'tools'`, in which they would look like calls of your own graph. `tool`:
   * they are there too. `false`: there are no child runs.
   */
  childRuns?: 'hidden' | 'tool' | false | undefined
}
