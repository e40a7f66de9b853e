/**
 * The indexes at which a text occurs in another one, found in one pass (Knuth, Morris and Pratt). For repetitive texts,
 * the platform's own search takes quadratic time.
 *
 * @param isOverlapping true if an occurrence may start inside the previous one.
 * @param maxCount the search ends after this number of occurrences.
 */
export function occurrences(text: string, part: string, isOverlapping: boolean, maxCount: number): number[] {
  const places: number[] = []
  const borders = bordersOf(part)
  let matched = 0
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at)
    while (matched > 0 && part.charCodeAt(matched) !== unit) matched = borders[matched - 1] ?? 0
    if (part.charCodeAt(matched) === unit) matched += 1
    if (matched < part.length) continue
    places.push(at + 1 - part.length)
    if (places.length === maxCount) return places
    matched = isOverlapping ? (borders[matched - 1] ?? 0) : 0
  }
  return places
}

/** For each prefix, the length of its longest proper prefix that is also its suffix. */
function bordersOf(part: string): Int32Array {
  const borders = new Int32Array(part.length)
  let length = 0
  for (let at = 1; at < part.length; at += 1) {
    while (length > 0 && part.charCodeAt(length) !== part.charCodeAt(at)) length = borders[length - 1] ?? 0
    if (part.charCodeAt(length) === part.charCodeAt(at)) length += 1
    borders[at] = length
  }
  return borders
}
