#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The queue between the loops and the log's writer thread: full chunks one way, empty ones the other.
///
/// Bounded in memory. The lock is held for a few pointer moves (and the copy of a small chunk), never during I/O, so a
/// loop waits for nobody.
///
/// `@unchecked Sendable`: every stored variable is read and written with `mutex` held, except the mutex itself and the
/// condition variables, which are made for sharing.
final class ChunkQueue: @unchecked Sendable {
    /// A chunk this small is added to the one waiting before it, so that frequent flushes do not queue empty memory.
    private static let smallChunk = 8 * 1024
    private static let keptEmpty = 8

    enum Work {
        case write([LogChunk])
        case reopen
        case stop
    }

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let workArrived = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let workDone = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let limit: Int

    private var full: [LogChunk] = []
    private var empty: [LogChunk] = []
    /// The capacity of all chunks that wait or are being written.
    private var heldBytes = 0
    private var writing = false
    private var reopenAsked = false
    private var stopAsked = false

    init(limit: Int) {
        self.limit = limit
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(workArrived, &attributes)
        pthread_cond_init(workDone, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(workDone)
        pthread_cond_destroy(workArrived)
        pthread_mutex_destroy(mutex)
        workDone.deallocate()
        workArrived.deallocate()
        mutex.deallocate()
    }

    private func locked<R>(_ body: () -> R) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    /// Takes a chunk with lines and gives an empty one, perhaps the same.
    /// - Returns: also how many lines were lost because the queue was full.
    func exchange(_ chunk: LogChunk) -> (empty: LogChunk, lost: Int) {
        locked {
            if let last = full.last, chunk.count <= Self.smallChunk, last.hasRoom(for: chunk.count) {
                last.append(chunk)
                chunk.clear()
                return (chunk, 0)
            }
            if stopAsked || heldBytes + chunk.capacity > limit {
                let lost = chunk.lines
                chunk.clear()
                return (chunk, lost)
            }
            heldBytes += chunk.capacity
            full.append(chunk)
            pthread_cond_signal(workArrived)
            return (empty.popLast() ?? LogChunk(), 0)
        }
    }

    /// The writer's side: waits for something to do. `stop` comes only when nothing is left to write.
    func next() -> Work {
        locked {
            while true {
                if reopenAsked {
                    reopenAsked = false
                    writing = true
                    return .reopen
                }
                if !full.isEmpty {
                    let batch = full
                    full = []
                    writing = true
                    return .write(batch)
                }
                if stopAsked { return .stop }
                pthread_cond_wait(workArrived, mutex)
            }
        }
    }

    /// The writer's side: what `next` said is done, and the chunks can be used again.
    func done(_ batch: [LogChunk]) {
        locked {
            for chunk in batch {
                heldBytes -= chunk.capacity
                if chunk.capacity == LogChunk.standardCapacity, empty.count < Self.keptEmpty {
                    chunk.clear()
                    empty.append(chunk)
                }
            }
            writing = false
            pthread_cond_broadcast(workDone)
        }
    }

    func askReopen() {
        locked {
            reopenAsked = true
            pthread_cond_signal(workArrived)
        }
    }

    /// From now on everything new is lost; what is queued is still written.
    func askStop() {
        locked {
            stopAsked = true
            pthread_cond_signal(workArrived)
        }
    }

    /// Bytes of memory that wait to be written, or are being written.
    var waitingBytes: Int { locked { heldBytes } }

    var isStopping: Bool { locked { stopAsked } }

    /// The writer's side: something else than the write under way is wanted of it.
    var wantsTheWriter: Bool { locked { stopAsked || reopenAsked } }

    /// The writer's side, in the middle of a batch.
    func takeReopenAsked() -> Bool {
        locked {
            defer { reopenAsked = false }
            return reopenAsked
        }
    }

    /// Waits until all that was queued has been written; false when `seconds` passed first.
    func waitUntilWritten(seconds: Double) -> Bool {
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        let nanoseconds = deadline.tv_nsec + Int(seconds * 1e9)
        deadline.tv_sec += nanoseconds / 1_000_000_000
        deadline.tv_nsec = nanoseconds % 1_000_000_000
        return locked {
            while writing || !full.isEmpty || reopenAsked {
                if pthread_cond_timedwait(workDone, mutex, &deadline) == ETIMEDOUT { return false }
            }
            return true
        }
    }

}
