/** Names that a short program may use as the first example of its README has made them. */
const given: readonly [name: string, declaration: string][] = [
  ['theazo', 'const theazo = new (await import("@theazo/core")).Theazo()'],
  ['session', 'const session = await theazo.sessions.forUser("readme")'],
  ['agent', 'await using agent = await session.agents.create()'],
]

/** A program of a README, with the names that it uses and does not declare. They stand on its first line. */
export function programOf(text: string): string {
  // From the last to the first, since a declaration may need an earlier one.
  return given.reduceRight(
    (program, [name, declaration]) => (isMissing(name, program) ? `${declaration}; ${program}` : program),
    text,
  )
}

function isMissing(name: string, program: string): boolean {
  const isUsed = new RegExp(String.raw`(?<![./])\b${name}\b(?!:)`).test(program.replaceAll(/\/\/.*$/gm, ''))
  return isUsed && !new RegExp(String.raw`\b(?:const|let|using)\s+(?:\{[^}]*\b)?${name}\b`).test(program)
}
