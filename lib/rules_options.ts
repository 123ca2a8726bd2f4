// A line of rules, taken apart as ipvsadm does it: blanks split it and nothing quotes them, long
// options are never abbreviated, short ones may stand together, and a value may be joined to its
// option, with or without '='.

type Argument = 'none' | 'required' | 'optional'

interface Kind {
  /** Its name; options of one name exclude each other. */
  readonly name: string
  readonly argument: Argument
  readonly isCommand: boolean
}

/** An option or command as it was written, with its value. */
export interface Given {
  readonly spelling: string
  readonly value: string | undefined
}

interface GivenKind extends Given {
  readonly kind: Kind
}

/** A line, taken apart. */
export interface Line {
  readonly command: string
  /** Of the command itself. */
  readonly value: string | undefined
  /** By name. */
  readonly options: ReadonlyMap<string, Given>
  /** What belongs to no option. */
  readonly operands: readonly string[]
}

/** Why a line is no rule. */
export const badRule = (why: string): SyntaxError => new SyntaxError(why)

/** A piece of a line, for messages. */
export const quote = (text: string): string =>
  JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}...` : text)

const kinds = new Map<string, Kind>()

const define = (isCommand: boolean, table: string): void => {
  for (const row of table.trim().split('\n')) {
    const [name = '', argument, ...spellings] = row.trim().split(/ +/)
    const kind = { name, argument: argument as Argument, isCommand }
    for (const spelling of spellings) kinds.set(spelling, kind)
  }
}

define(
  true,
  `add-service    none     -A --add-service
   edit-service   none     -E --edit-service
   delete-service none     -D --delete-service
   add-server     none     -a --add-server
   edit-server    none     -e --edit-server
   delete-server  none     -d --delete-server
   clear          none     -C --clear
   zero           none     -Z --zero
   set            none     --set
   start-daemon   required --start-daemon
   stop-daemon    required --stop-daemon
   list           none     -L -l --list
   save           none     -S --save
   restore        none     -R --restore
   help           none     -h --help
   version        none     -v --version`,
)
define(
  false,
  `service         required -t --tcp-service -u --udp-service --sctp-service -f --fwmark-service
   ipv6            none     -6 --ipv6
   scheduler       required -s --scheduler
   persistent      optional -p --persistent
   netmask         required -M --netmask
   pe              required --pe
   ops             none     -o --ops
   sched-flags     required -b --sched-flags
   real-server     required -r --real-server
   forwarding      none     -m --masquerading -i --ipip -g --gatewaying
   weight          required -w --weight
   u-threshold     required -x --u-threshold
   l-threshold     required -y --l-threshold
   tun-type        required --tun-type
   tun-port        required --tun-port
   tun-checksum    none     --tun-nocsum --tun-csum --tun-remcsum
   mcast-interface required --mcast-interface
   syncid          required --syncid
   sync-maxlen     required --sync-maxlen
   mcast-group     required --mcast-group
   mcast-port      required --mcast-port
   mcast-ttl       required --mcast-ttl
   sort            none     --sort`,
)

// Written twice they mean the same.
const repeatable = ['ipv6', 'sort']

// They print, or read again.
const noRules = ['list', 'save', 'restore', 'help', 'version']

const kindOf = (spelling: string): Kind => {
  const kind = kinds.get(spelling)
  if (!kind) throw badRule(`the option ${quote(spelling)} is unknown`)
  if (noRules.includes(kind.name)) throw badRule(`${spelling} changes nothing, so it is no rule`)
  return kind
}

/** Reads the value of an option: joined to it, or else the next word. */
const valueOf = (
  spelling: string,
  { argument }: Kind,
  joined: string | undefined,
  words: string[],
): string | undefined => {
  if (argument === 'none') {
    if (joined !== undefined) throw badRule(`${spelling} takes no value`)
    return undefined
  }
  if (joined !== undefined) return joined
  const [next] = words
  if (argument === 'optional' && (next === undefined || next.startsWith('-'))) return undefined
  // What ipvsadm -S writes of a service whose only flag it has no name for.
  if (next === undefined && spelling === '-b') return ''
  // ipvsadm would take an option for the value, as which it makes no sense, but for the mark 2^32-6, as it writes it.
  const isMark = next === '-6' && (spelling === '-f' || spelling === '--fwmark-service')
  if (next === undefined || (kinds.has(next) && !isMark)) throw badRule(`${spelling} needs a value`)
  words.shift()
  return next
}

/** The options of a word such as `-At` or `--weight=5`; what follows it may be taken from `words`. */
function* optionsOf(word: string, words: string[]): Generator<GivenKind> {
  if (word.startsWith('--')) {
    const [spelling = '', ...rest] = word.split('=')
    const kind = kindOf(spelling)
    const joined = rest.length === 0 ? undefined : rest.join('=')
    yield { spelling, kind, value: valueOf(spelling, kind, joined, words) }
    return
  }
  for (let at = 1; at < word.length; at += 1) {
    const spelling = `-${word.charAt(at)}`
    const kind = kindOf(spelling)
    const rest = word.slice(at + 1)
    const takesRest = rest.startsWith('=') || (kind.argument !== 'none' && rest !== '')
    const joined = takesRest ? rest.replace(/^=/, '') : undefined
    yield { spelling, kind, value: valueOf(spelling, kind, joined, words) }
    if (takesRest) return
  }
}

const isOption = (word: string): boolean => word.startsWith('-') && word !== '-'

/** The words of a line; the name of the program may stand anywhere. */
export const wordsOf = (text: string): string[] =>
  text.split(/[ \t\r]+/).filter((word) => word !== '' && word !== 'ipvsadm')

/** All options of a line in their order, and what belongs to none. */
const readWords = (words: string[]): { given: GivenKind[]; operands: string[] } => {
  const given: GivenKind[] = []
  const operands: string[] = []
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === '--') operands.push(...words.splice(0))
    else if (isOption(word)) given.push(...optionsOf(word, words))
    else operands.push(word)
  }
  return { given, operands }
}

/** Takes a line apart. */
export const takeApart = (words: readonly string[]): Line => {
  const { given, operands } = readWords([...words])
  const [command, ...others] = given
  if (!command) throw badRule('there is no command, such as -A or -a')
  if (!command.kind.isCommand) throw badRule(`a command must stand before ${command.spelling}`)
  const options = new Map<string, Given>()
  for (const { kind, spelling, value } of others) {
    const before = kind.isCommand ? command : options.get(kind.name)
    if (before && !repeatable.includes(kind.name)) {
      throw badRule(`${spelling} cannot stand beside ${before.spelling}`)
    }
    options.set(kind.name, { spelling, value })
  }
  return { command: command.kind.name, value: command.value, options, operands }
}
