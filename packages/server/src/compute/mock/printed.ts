import type { Language } from '@theazo/core'

const call = { python: /^print\((.*)\)$/, typescript: /^console\.log\((.*)\);?$/, bash: /^echo (.*)$/ } as const

/**
 * The output that code would print, derived from its text. A line counts if it is a single print of a text, or of whole numbers
 * that are added, subtracted or multiplied. Every other line prints nothing.
 */
export function printed(lang: Language, code: string): string {
  return code
    .split('\n')
    .map((line) => {
      const argument = call[lang].exec(line.trim())?.[1]?.trim()
      const value = argument === undefined ? undefined : (quoted(argument) ?? sum(argument) ?? bare(lang, argument))
      return value === undefined ? '' : `${value}\n`
    })
    .join('')
}

function quoted(text: string): string | undefined {
  return /^"([^"\\]*)"$/.exec(text)?.[1] ?? /^'([^'\\]*)'$/.exec(text)?.[1]
}

/** Words of a shell need no quotes. */
function bare(lang: Language, text: string): string | undefined {
  return lang === 'bash' && /^[\w .,:!?/-]+$/.test(text) ? text : undefined
}

/** E.g. 2 + 2 or 3 * 4 - 1: products first, then from left to right. */
function sum(text: string): string | undefined {
  if (!/^\d{1,9}( ?[+*-] ?\d{1,9})*$/.test(text)) return undefined
  const terms = text.replaceAll(' ', '').split(/(?=[+-])/)
  const values = terms.map((term) => {
    const product = term
      .replace(/^[+-]/, '')
      .split('*')
      .reduce((value, factor) => value * Number(factor), 1)
    return term.startsWith('-') ? -product : product
  })
  return String(values.reduce((total, value) => total + value, 0))
}
