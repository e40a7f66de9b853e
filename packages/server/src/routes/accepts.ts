/**
 * True if a client names a media type in `Accept` with at least the weight of the other one (RFC 9110, 12.5.1). A range
 * such as `text/*` does not count: the client then gets the other type.
 *
 * @param accept the value of the header.
 */
export function prefers(accept: string | undefined, type: string, other: string): boolean {
  const weights = new Map<string, number>()
  for (const range of accept?.toLowerCase().split(',') ?? []) {
    const [name = '', ...parameters] = range.split(';').map((part) => part.trim())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice('q='.length)
    weights.set(name, weight === undefined ? 1 : Number(weight))
  }
  const weight = weights.get(type) ?? 0
  // An invalid weight is NaN, which is not above 0.
  return weight > 0 && weight >= (weights.get(other) ?? 0)
}
