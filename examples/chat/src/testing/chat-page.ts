import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core'

/** A page of the chat, in the words of a user. */
export class ChatPage implements AsyncDisposable {
  readonly page: Page
  readonly context: BrowserContext
  readonly #problems: string[]

  private constructor(context: BrowserContext, page: Page, problems: string[]) {
    this.context = context
    this.page = page
    this.#problems = problems
  }

  /** Opens a new chat as a new user. */
  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<ChatPage> {
    const context = await browser.newContext({ viewport: { width: 1100, height: 800 }, ...options })
    context.setDefaultTimeout(15_000)
    return await ChatPage.openTab(context, url)
  }

  /** Opens an address in another tab of the same user. */
  static async openTab(context: BrowserContext, url: string): Promise<ChatPage> {
    const page = await context.newPage()
    const problems: string[] = []
    page.on('pageerror', (error) => problems.push(String(error)))
    page.on('console', (message) => {
      const isCut = /net::ERR_(INTERNET_DISCONNECTED|INCOMPLETE_CHUNKED_ENCODING)/.test(message.text()) // by a test
      if (message.type() === 'error' && !isCut) problems.push(message.text())
    })
    const chat = new ChatPage(context, page, problems)
    await page.goto(url)
    await chat.message.waitFor()
    return chat
  }

  get chatId(): string {
    return new URL(this.page.url()).hash.slice(1)
  }

  get message(): Locator {
    return this.page.getByRole('textbox', { name: 'Message' })
  }

  /** The calls of this tool, e.g. `Python`. */
  tool(title: string): Locator {
    return this.page.getByRole('region', { name: title })
  }

  /** The last call of a tool, when it is in this state. */
  inState(title: string, state: string): Locator {
    return this.page.locator(`section[aria-label="${title}"][data-state="${state}"]`).last()
  }

  button(name: string): Locator {
    return this.page.getByRole('button', { name })
  }

  async send(text: string): Promise<void> {
    await this.message.fill(text)
    await this.message.press('Enter')
  }

  /** Waits until an answer has this text, and has ended. */
  async answered(text: string): Promise<void> {
    await this.page.getByRole('article', { name: 'Assistant' }).getByText(text).last().waitFor()
    await this.button('Send').waitFor()
  }

  /** The page must have reported no errors, also none of its security policy. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close()
    if (this.#problems.length > 0) throw new Error(`the page has reported: ${this.#problems.join(', ')}`)
  }
}
