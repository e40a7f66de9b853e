/**
 * True where a client takes a media type by its name, and not less gladly than another (RFC 9110, 12.5.1). What it takes
 * by a range such as `text/*` is the other.
 *
 * @param accept the header.
 */
export function prefers(accept: string | undefined, type: string, other: string): boolean {
  const weights = new Map<string, number>()
  for (const range of accept?.toLowerCase().split(',') ?? []) {
    const [name = '', ...parameters] = range.split(';').map((part) => part.trim())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice('q='.length)
    weights.set(name, weight === undefined ? 1 : Number(weight))
  }
  const weight = weights.get(type) ?? 0
  // A weight that is no number says nothing: NaN is not above 0.
  return weight > 0 && weight >= (weights.get(other) ?? 0)
}
