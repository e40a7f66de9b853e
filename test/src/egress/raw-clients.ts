import type { Agent } from '@theazo/core'
import type { Step } from './invalid-http-responses.ts'

/** The bytes that one connection received, one character per byte, and the time until its end. */
export interface RawAnswer {
  answer: string
  isClosed: boolean
  seconds: number
}

/** Runs in the sandbox. Every connection has a deadline, whatever the other side does. */
const program = `
import concurrent.futures, json, socket, struct, sys, threading, time
DEADLINE_SECONDS, MOST_BYTES = 30, 20_000

def send(sock, steps, done):
    try:
        for step in steps:
            if isinstance(step, int): done.wait(step / 1000)
            elif step == 'END': sock.shutdown(socket.SHUT_WR)
            elif step == 'RESET': done.set() # and the receiver closes it
            elif isinstance(step, str): sock.sendall(step.encode('latin1'))
            else:
                while not done.is_set():
                    sock.sendall(step['loop'].encode('latin1'))
                    done.wait(step['everyMs'] / 1000)
            if done.is_set(): return
    except OSError: pass

def connection(steps):
    started, done, answer, is_closed = time.monotonic(), threading.Event(), b'', False
    sock = socket.create_connection(('127.0.0.1', 3128))
    if 'RESET' in steps: sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sender = threading.Thread(target=send, args=(sock, steps, done))
    sender.start()
    try:
        sock.settimeout(0.2)
        while time.monotonic() - started < DEADLINE_SECONDS and not done.is_set():
            try: data = sock.recv(65536)
            except TimeoutError: continue
            if not data: is_closed = True; break
            if len(answer) < MOST_BYTES: answer += data
    except OSError: is_closed = True
    is_closed |= done.is_set()
    done.set(); sender.join(); sock.close()
    return {'answer': answer[:MOST_BYTES].decode('latin1'), 'isClosed': is_closed, 'seconds': round(time.monotonic() - started, 1)}

with concurrent.futures.ThreadPoolExecutor(24) as pool:
    print(json.dumps(list(pool.map(connection, json.load(sys.stdin)))))
`

/** Connects from a sandbox to its proxy, up to 24 connections at a time, and sends bytes unchanged. */
export async function rawClients(agent: Agent, connections: readonly (readonly Step[])[]): Promise<RawAnswer[]> {
  const { stdout, stderr } = await agent.exec('python', program, { stdin: JSON.stringify(connections) })
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout) as RawAnswer[]
}
