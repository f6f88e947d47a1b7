import type { Noun } from '../../protocol/method.js'
import { publish } from './publish.js'
import { ack, get, inbox } from './read.js'
import { messages, published, receiptChanged, signalled } from './row.js'

export const messageNoun = {
  tables: [messages],
  events: [published, receiptChanged, signalled],
  methods: [publish, inbox, ack, get] as const,
} satisfies Noun
