// What was worked out before, kept for the next time.

const mostKept = 1 << 17
const mostMissed = 16 * mostKept

/** So much of it that a table seldom needs more. */
export class Known<Key, Value> {
  readonly values = new Map<Key, Value>()
  #missed = 0

  /** False where there is no room: what is kept stays, until very many have found none. */
  keep(key: Key, value: Value): boolean {
    if (this.values.size >= mostKept && !this.values.has(key)) {
      if (++this.#missed < mostMissed) return false
      this.#missed = 0
      this.values.clear()
    }
    this.values.set(key, value)
    return true
  }
}
