import type { Noun } from '../../protocol/method.js'
import { publish } from './publish.js'
import { ack, get, inbox, outbox, search, thread } from './read.js'
import { ackDuePassed, expired, messages, published, receiptChanged, removed, signalled } from './row.js'
import { expireMessage, trimMessages } from './settle.js'

export const messageNoun = {
  tables: [messages],
  events: [published, receiptChanged, expired, ackDuePassed, removed, signalled],
  methods: [publish, inbox, outbox, ack, get, thread, search] as const,
  expire: { messages: expireMessage },
  trim: trimMessages,
} satisfies Noun
