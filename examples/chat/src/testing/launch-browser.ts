import { existsSync, readFileSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

/** The set-up of the tests installs the first of them if the machine has none. */
const browsers = JSON.parse(
  readFileSync(new URL('../../../../scripts/browsers.json', import.meta.url), 'utf8'),
) as readonly string[]

/** Starts a browser of this machine, without a window. */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = browsers.find((path) => existsSync(path))
  if (executablePath === undefined) throw new Error(`There is no browser: ${browsers.join(', ')}. Run npm test once.`)
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [] // Chromium refuses its own sandbox to root
  return await chromium.launch({ executablePath, args })
}
