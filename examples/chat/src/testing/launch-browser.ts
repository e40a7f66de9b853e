import { type Browser, chromium } from 'playwright-core'

/** Debian's Chromium without a window, which the set-up of the tests installs. */
export async function launchBrowser(): Promise<Browser> {
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [] // Chromium refuses its own sandbox to root
  return await chromium.launch({ executablePath: '/usr/bin/chromium-headless-shell', args })
}
