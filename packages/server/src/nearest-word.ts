/** The known word that is most similar to a misspelt one, ignoring case. */
export function nearestWord(word: string, known: readonly string[]): string {
  const distanceTo = (other: string): number => distance(word.toLowerCase(), other.toLowerCase())
  return known.toSorted((a, b) => distanceTo(a) - distanceTo(b))[0] ?? ''
}

/** True if a word differs from a known word in at most one character of three, ignoring case. */
export function isNearWord(word: string, known: readonly string[]): boolean {
  return distance(word.toLowerCase(), nearestWord(word, known).toLowerCase()) * 3 <= word.length
}

/** The Levenshtein distance: the number of characters to add, remove or replace. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [i, char] of Array.from(from).entries()) {
    const next = [i + 1]
    for (let j = 0; j < to.length; j += 1) {
      const replaced = (row[j] ?? 0) + (char === to[j] ? 0 : 1)
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
