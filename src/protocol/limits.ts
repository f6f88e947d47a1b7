/** Every limit of the bridge, by name. Units last. A limit a caller can meet is documented in CONTRACTS.md from here. */
export const limits = {
  /** Largest frame a socket may send, larger ones close it with 1009; and largest body of a request, larger ones are refused. */
  frameBytes: 1024 * 1024,
  /** Largest pushed frame of events, unless one command's first event alone is larger. */
  pushBytes: 256 * 1024,
  /** Most events in one pushed frame or one page of `event.read`. */
  pushEvents: 1_000,
  /** JSON nesting, counted in arrays and objects, and values in one call, however deep. */
  jsonDepth: 64,
  jsonValues: 20_000,
  /** Calls in one JSON-RPC batch, and JSON of its answers, in characters, beyond which its other queries are refused. */
  batchCalls: 100,
  batchAnswerBytes: 8 * 1024 * 1024,
  /** Unanswered calls of one socket; beyond it the socket is not read. */
  outstandingCalls: 1_024,
  /**
   * JSON of calls that are not answered, in characters: of one socket, beyond which it is not read; of the commands that
   * wait for a workspace's writer and of everyone's calls together, beyond which more are refused.
   */
  outstandingBytes: 8 * 1024 * 1024,
  queuedBytes: 64 * 1024 * 1024,
  unansweredBytes: 256 * 1024 * 1024,
  /** Calls of one socket, or of one agent without a socket, that wait for something (a lock, work, a message). */
  parkedCalls: 64,
  /** Callers without a socket who are in at a time: each an HTTP request under way, or a stream of events. */
  visitors: 1_024,
  /** Streams of events over HTTP that one agent may follow at a time: they are visitors for as long as they last. */
  agentStreams: 64,
  /** Sockets that have not opened a session yet, and how long one may take, ms. */
  unopenedSockets: 256,
  openWithinMs: 10_000,
  /** Codes that let the dashboard in: how many are open at a time, how long one is good, ms; and the pass it gives, ms. */
  codes: 64,
  codeMs: 60_000,
  passMs: 12 * 3_600_000,
  /** Subscriptions of one socket, and filters of one subscription. */
  subscriptions: 64,
  filters: 16,
  filterTerms: 64,
  /** Bytes waiting in a socket's send buffer above which it is not pushed to, but served from the store when it drains. */
  highWaterBytes: 1024 * 1024,
  /** WebSocket ping interval, and how long a socket may be silent; with unread output it is slow, not dead, for longer. */
  pingEveryMs: 20_000,
  silentMs: 60_000,
  unreadMs: 5 * 60_000,
  /** Comments that keep a stream of events over HTTP alive. */
  heartbeatMs: 15_000,
  /** A filtered subscription is never further behind the head without a bookmark, in events and ms. */
  bookmarkEvents: 1_000,
  bookmarkMs: 1_000,
  /** Durable names of one agent, and how long an acknowledgement may wait to be written, ms. */
  agentReaders: 64,
  readerMs: 1_000,
  /** Retention: what is kept unless told, in ms and events; what is kept in any case but for lack of space; one step of it. */
  retainMs: 30 * 86_400_000,
  retainEvents: 5_000_000,
  retainMsMin: 86_400_000,
  trimEvents: 1_000,
  trimRows: 100,
  /** One transaction: commands, and ms spent running them. */
  batchCommands: 256,
  batchMs: 10,
  /** Events of the log taken into the search index in one step, between two batches. */
  searchStepEvents: 250,
  /** Workspaces one daemon serves at a time. */
  workspaces: 256,
  /** Commands waiting for the writer of one workspace. */
  queuedCommands: 100_000,
  /** Page sizes of lists: default and largest; a page also ends at `pageBytes`. */
  pageItems: 50,
  pageItemsMax: 1_000,
  pageBytes: 512 * 1024,
  /** Page size of `attention.list`, whose items come from rows of up to `contractBytes`. */
  attentionItemsMax: 200,
  /** Characters of `agent.brief`: unless told, and its bounds; rows of a kind and events looked at for it. */
  briefChars: 6_000,
  briefCharsMin: 2_000,
  briefCharsMax: 100_000,
  briefRows: 100,
  briefEvents: 1_000,
  /** Lengths, in UTF-16 code units. */
  nameLength: 64,
  idLength: 128,
  titleLength: 200,
  noteLength: 4_096,
  descriptionLength: 32_768,
  textLength: 131_072,
  reasonLength: 512,
  queryLength: 512,
  topicLength: 256,
  resourceLength: 1_024,
  keyLength: 256,
  /** Items. */
  recipients: 64,
  parts: 32,
  tags: 32,
  capabilities: 32,
  artifacts: 64,
  checks: 32,
  evidence: 64,
  /** Names told to one who named an agent that nobody knows. */
  nearNames: 3,
  dependencies: 64,
  /** Questions asked in one call, and kept with a contract; older ones are in its history. */
  inputRequests: 32,
  /** Keywords and values of one answer's schema, together. */
  schemaTerms: 256,
  /** Sessions one agent may have at a time. */
  agentSessions: 32,
  /** Tokens of one workspace, and the highest rate one can be held to, calls a minute. */
  workspaceTokens: 1_000,
  ratePerMinuteMax: 1_000_000,
  /** Blockers told to one who waits or is refused; there may be more. */
  blockersTold: 32,
  /** Claims and obstacles looked at, at most, to find out whether a wait would close a circle. */
  deadlockSteps: 1_000,
  /** Alternatives of all patterns of one lock request together. */
  requestAlternatives: 1_024,
  /** Resources of one lock request, of one agent and of a workspace, held and waited for; alternatives one pattern's braces may expand to. */
  lockResources: 256,
  agentResources: 1_000,
  workspaceResources: 10_000,
  patternAlternatives: 64,
  /** Largest contract, as JSON; larger results go by `uri`. */
  contractBytes: 64 * 1024,
  /** Ended attempts a contract keeps; older ones are in its history. */
  attemptsKept: 20,
  attemptsMax: 100,
  /** Durations, ms. */
  graceMs: 30_000,
  graceMsMax: 600_000,
  lockTtlMs: 600_000,
  lockTtlMsMin: 1_000,
  lockTtlMsMax: 86_400_000,
  /** How long a file that was lost stays shut. */
  coolingMs: 5_000,
  waitMsMax: 3_600_000,
  pollMsMax: 50_000,
  /** How long a message to agents may be left unseen, or unacknowledged; and until `requireAck` is overdue unless told. */
  messageTtlMsMin: 1_000,
  messageTtlMsMax: 30 * 86_400_000,
  ackWithinMs: 600_000,
  cancelGraceMs: 30_000,
  inputDeadlineMs: 86_400_000,
  inputDeadlineMsMax: 30 * 86_400_000,
  progressTimeoutMs: 1_800_000,
  progressTimeoutMsMax: 7 * 86_400_000,
  /** How long a tool for models waits before it answers: below the time-outs of their clients, ms. */
  toolWaitMs: 45_000,
  /** Texts in a tool's answer, in UTF-16 code units: whole ones, and those beside others. */
  toolTextLength: 20_000,
  toolNoteLength: 400,
  /** Agents whose tools are served over HTTP and of whom it is kept what they were told. */
  toolAgents: 1_000,
  /** News told with one tool's answer, and offers or messages by `wait`. */
  toolNews: 20,
  /** Progress of one attempt is written at most once in this time; the last one wins. */
  progressEveryMs: 1_000,
  retryBackoffMs: 1_000,
  retryBackoffMsMax: 900_000,
  /** An attempt that is not heard of for so long waits for a person; a contract that failed does so for at most so long. */
  stalledMs: 900_000,
  failedShownMs: 7 * 86_400_000,
  /** Leases get at least this much more after a restart or a clock jump; a jump is the wall clock this far ahead. */
  rebaseMs: 30_000,
  clockJumpMs: 5_000,
} as const
