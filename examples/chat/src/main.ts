import { fileURLToPath } from 'node:url'
import { Theazo } from '@theazo/core'
import { createLocalTheazo, SetupError } from '@theazo/server'
import { listenChat } from './server/listen.ts'
import { chooseModel } from './server/model.ts'

process.exitCode = await main(process.env)

/** Runs until a signal. A server of yours is used if THEAZO_API_KEY is set, else one inside this process. */
async function main(env: NodeJS.ProcessEnv): Promise<number> {
  const stopped = new Promise<number>((resolve) => {
    for (const [name, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
      process.on(name, () => resolve(code))
    }
  })
  try {
    await using local = env['THEAZO_API_KEY'] ? undefined : await createLocalTheazo()
    const { model, name } = await chooseModel(env)
    const options = {
      theazo: new Theazo(local),
      model,
      modelName: name,
      capCents: wholeNumber(env, 'CHAT_CAP_CENTS', 200),
      clientFolder: fileURLToPath(new URL('../dist', import.meta.url)),
    }
    await using chat = await listenChat(options, wholeNumber(env, 'PORT', 3000))
    console.log(`Chat with ${name}: ${chat.url}`)
    console.log(`Sandboxes: ${local ? 'on this machine' : 'on your server'}. Ctrl-C ends the chat and its sandboxes.`)
    return await stopped
  } catch (error) {
    const isPortTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
    if (!(error instanceof SetupError) && !(error instanceof RangeError) && !isPortTaken) throw error
    console.error(isPortTaken ? `${error.message}. Choose another port with PORT.` : error.message)
    return 1
  }
}

function wholeNumber(env: NodeJS.ProcessEnv, name: string, byDefault: number): number {
  const text = env[name]
  if (text === undefined || text === '') return byDefault
  if (!/^\d{1,9}$/.test(text)) throw new RangeError(`${name} must be a whole number, not ${text}.`)
  return Number(text)
}
