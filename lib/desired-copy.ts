// A desired state as it was when the call was made: checking a long one takes several turns of the
// event loop, and meanwhile its owner may go on changing it.

type Copy = (value: unknown) => unknown

/** Not an instance of a class, whose properties may be anything. */
const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> => {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  // Of this realm or another.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** Copies an object, and what it has by these names. What is none is for the checks to refuse. */
const copyObject =
  (inner: Readonly<Record<string, Copy>>): Copy =>
  (value) => {
    if (!isPlain(value)) return value
    const copy: Record<string, unknown> = { ...value }
    for (const name in inner) {
      if (copy[name] !== undefined) copy[name] = inner[name]?.(copy[name])
    }
    return copy
  }

/** The same for an array. Array.from, unlike map, also looks at holes. */
const copyArray =
  (copyEach: Copy): Copy =>
  (value) =>
    Array.isArray(value) ? Array.from(value as readonly unknown[], (each) => copyEach(each)) : value

const copyFlat = copyObject({})

/** Copies a desired state of JSON types; what else there is in it stays what it is. */
export const copyDesired = copyArray(
  copyObject({
    schedulerFlags: copyArray((flag) => flag),
    persistence: copyFlat,
    destinations: copyArray(copyObject({ tunnel: copyFlat })),
  }),
)
