import { Theazo } from '@theazo/core'

const theazo = new Theazo()
const session = await theazo.sessions.forUser('user_123')
await using agent = await session.agents.create() // terminated at the end of the program
await agent.files.write('primes.py', 'print([n for n in range(2, 30) if all(n % d for d in range(2, n))])')
const { stdout, exitCode } = await agent.exec('bash', 'python3 primes.py')
console.log(stdout, exitCode)
