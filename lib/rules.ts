// The table as text, and back: what ipvsadm-save and ipvsadm-restore do, from and to a string or a
// file.

import { abortError, IpvsError, retold } from './errors.js'
import { readText, replaceFile } from './file.js'
import { formatRules } from './rules_format.js'
import { badRule } from './rules_options.js'
import { applyRules, isOther, readRules } from './rules_table.js'
import type { Fault, Result, Rule } from './rules_table.js'
import { inWords } from './rules_words.js'
import { stepInTurns } from './turns.js'
import type { Steps } from './turns.js'
import { orDefault, signalOf, takeBoolean, takeOptions, wrongType, wrongValue } from './validate.js'
import type { FailedChange } from '../types/desired.js'
import type { Ipvs } from '../types/ipvs.js'
import type { IpvsErrorShape } from '../types/error.js'

/** A failure and the line that asked for what failed. */
interface Failure {
  readonly line: number | undefined
  readonly error: IpvsErrorShape
}

/** One error for several: what it says of itself is what the first says. */
const errorOf = (failures: readonly [Failure, ...Failure[]], path?: string): IpvsError => {
  const [{ line, error }, ...others] = failures
  const more = others.slice(0, 8).flatMap((each) => each.line ?? [])
  const dots = others.length > more.length ? ', ...' : ''
  const what = others.length === 1 ? 'line' : 'lines'
  const lines = more.length === 0 ? '' : `: ${what} ${more.join(', ')}${dots}`
  const message = [
    path === undefined ? '' : `${path}: `,
    line === undefined ? '' : `line ${line}: `,
    error.message,
    others.length === 0 ? '' : ` (and ${others.length} more${lines})`,
  ].join('')
  const { code, errno, command, service, destination, kernelMessage } = error
  return new IpvsError(
    message,
    {
      code,
      errno,
      command,
      ...(service && { service }),
      ...(destination && { destination }),
      ...(kernelMessage !== undefined && { kernelMessage }),
      ...(line !== undefined && { line }),
      errors: failures.map((each) => each.error),
    },
    { cause: error.cause ?? error },
  )
}

const badRuleError = ({ line, reason }: Fault): Failure => ({
  line,
  error: new IpvsError(
    inWords(reason.message),
    { code: 'ERR_IPVS_BAD_RULE', errno: 0, command: '', line },
    { cause: reason },
  ),
})

/** Throws unless there are none. */
const refuse = (failures: readonly Failure[], path?: string): void => {
  const [first, ...others] = failures
  if (first) throw errorOf([first, ...others], path)
}

/** An error each: the stacks of many take long. */
function* badRuleErrors(faults: readonly Fault[]): Steps<Failure[]> {
  const failures: Failure[] = []
  for (const fault of faults) {
    yield
    failures.push(badRuleError(fault))
  }
  return failures
}

/** Throws unless every line is a rule that makes sense. */
const refuseFaults = async (faults: readonly Fault[], path?: string): Promise<void> => {
  refuse(await stepInTurns(badRuleErrors(faults)), path)
}

export const saveRules = async (ipvs: Ipvs, options: unknown): Promise<string> => {
  const signal = signalOf(takeOptions(options))
  return stepInTurns(formatRules(await ipvs.snapshot({ consistent: true, signal })), signal)
}

function* withLines(failed: readonly FailedChange[], lineOf: Result['lineOf']): Steps<Failure[]> {
  const failures: Failure[] = []
  for (const { change, error } of failed) {
    yield
    const destination = 'destination' in change ? change.destination : undefined
    failures.push({ line: lineOf(change.service, destination), error })
  }
  return failures
}

/** What rules name comes into being by `apply`, which knows how to do it without a gap. */
const replaceTable = async (
  ipvs: Ipvs,
  { desired, lineOf }: Result,
  signal: AbortSignal | undefined,
): Promise<Failure[]> => {
  const { failed } = await ipvs.apply(desired, { prune: true, signal })
  return stepInTurns(withLines(failed, lineOf))
}

const send = async (
  ipvs: Ipvs,
  rules: readonly Rule[],
  signal: AbortSignal | undefined,
): Promise<Failure[]> => {
  if (rules.length === 0) return []
  const outcomes = await ipvs.batch(
    rules.map(({ operation }) => operation),
    { signal },
  )
  return outcomes.flatMap((outcome, index) =>
    outcome.ok ? [] : [{ line: rules[index]?.line, error: outcome.error }],
  )
}

const restoreText = async (
  ipvs: Ipvs,
  text: string,
  options: unknown,
  path?: string,
): Promise<void> => {
  const given = takeOptions(options, ['clear'])
  const clears = takeBoolean(orDefault(given['clear'], true), 'options.clear')
  const signal = signalOf(given)
  if (signal?.aborted === true) throw abortError(signal, false)
  const { rules, faults } = await stepInTurns(readRules(text), signal)
  await refuseFaults(faults, path)
  const table = clears ? undefined : await ipvs.snapshot({ signal })
  const result = await stepInTurns(applyRules(rules, table), signal)
  await refuseFaults(result.faults, path)
  if (!result.isCleared) {
    refuse(await send(ipvs, result.rules, signal), path)
    return
  }
  const failures = await replaceTable(ipvs, result, signal)
  try {
    failures.push(...(await send(ipvs, result.rules.filter(isOther), signal)))
  } catch (error) {
    throw retold(
      error,
      (why) => `Services and destinations were restored, the rest was not: ${why}`,
    )
  }
  refuse(failures, path)
}

export const restoreRules = async (ipvs: Ipvs, text: unknown, options: unknown): Promise<void> => {
  if (typeof text !== 'string') throw wrongType('text', 'a string', text)
  await restoreText(ipvs, text, options)
}

const takePath = (value: unknown): string => {
  const allowed = 'the path of a file'
  if (typeof value !== 'string') throw wrongType('path', allowed, value)
  if (value === '' || value.includes('\0')) throw wrongValue('path', allowed, value)
  return value
}

export const saveRulesToFile = async (
  ipvs: Ipvs,
  path: unknown,
  options: unknown,
): Promise<void> => {
  const file = takePath(path)
  const text = await saveRules(ipvs, options)
  // An empty file is what a crash leaves of one.
  await replaceFile(file, text === '' ? '\n' : text)
}

/** A file that ends in the middle of a line was cut short, even where the rest reads as a rule. */
const checkEnd = (text: string, path: string): void => {
  if (text.endsWith('\n')) return
  const why =
    text === ''
      ? 'the file is empty, so it was cut short: a saved table without services is an empty line'
      : 'the line does not end, so the file was cut short'
  refuse([badRuleError({ line: text.split('\n').length, reason: badRule(why) })], path)
}

export const restoreRulesFromFile = async (
  ipvs: Ipvs,
  path: unknown,
  options: unknown,
): Promise<void> => {
  const file = takePath(path)
  const signal = signalOf(takeOptions(options, ['clear']))
  const text = await readText(file, { followsLinks: true, signal })
  checkEnd(text, file)
  await restoreText(ipvs, text, options, file)
}
