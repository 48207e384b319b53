import Foundation
import Synchronization
import Testing
import TrammelCore

@testable import TrammelTelemetry

@Suite struct AccessLogSinkTests {
    /// A chunk of `lines` lines of `length` bytes each.
    private func chunk(_ text: String, lines: Int = 1, length: Int = 0) -> LogChunk {
        let chunk = LogChunk()
        let padding = [UInt8](repeating: UInt8(ascii: "."), count: max(0, length - text.utf8.count - 1))
        for _ in 0..<lines {
            chunk.appendLine { out in
                Array(text.utf8).withUnsafeBytes { out.bytes($0) }
                padding.withUnsafeBytes { out.bytes($0) }
            }
        }
        return chunk
    }

    private func counter(_ metrics: AgentMetrics, _ name: String, _ reason: String? = nil) -> UInt64 {
        metrics.counter(name, help: "", labels: reason.map { [("reason", $0)] } ?? []).current
    }

    @Test func writesInOrderAndGivesTheMemoryBack() throws {
        try withTemporaryFolder { folder in
            let metrics = AgentMetrics()
            let path = folder + "/log"
            let sink = try AccessLogSink(.file(path), metrics: metrics)
            for number in 0..<500 {
                let empty = sink.exchange(chunk("line \(number)", length: 1000))
                #expect(empty.count == 0 && empty.lines == 0)
            }
            #expect(sink.waitUntilWritten(seconds: 10))
            let written = lines(path)
            #expect(written.count == 500)
            #expect(written.enumerated().allSatisfy { $1.hasPrefix("line \($0).") })
            #expect(counter(metrics, "trammel_access_log_lines_total") == 500)
        }
    }

    @Test func appendsToWhatIsThere() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/log"
            try "before\n".write(toFile: path, atomically: false, encoding: .utf8)
            let sink = try AccessLogSink(.file(path), metrics: AgentMetrics())
            _ = sink.exchange(chunk("after"))
            #expect(sink.close(seconds: 10))
            #expect(lines(path) == ["before", "after"])
        }
    }

    @Test func reopensWhenAsked() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/log"
            let sink = try AccessLogSink(.file(path), metrics: AgentMetrics())
            _ = sink.exchange(chunk("old"))
            #expect(sink.waitUntilWritten(seconds: 10))
            try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
            sink.reopen()
            #expect(sink.waitUntilWritten(seconds: 10))
            _ = sink.exchange(chunk("new"))
            #expect(sink.close(seconds: 10))
            #expect(lines(path + ".1") == ["old"])
            #expect(lines(path) == ["new"])
        }
    }

    @Test func aLineThatAKilledWriterLeftHalfDoesNotSpoilTheNext() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/log"
            #expect(FileManager.default.createFile(atPath: path, contents: Data("whole\n{\"half".utf8)))
            var output = try AccessLogOutput(.file(path))
            for text in ["first\n", "second\n"] {
                #expect(Array(text.utf8).withUnsafeBytes { output.write($0) { true } } == 0)
            }
            #expect(lines(path) == ["whole", "{\"half", "first", "second"])
        }
    }

    @Test func noticesAMovedFileByItself() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/log"
            var output = try AccessLogOutput(.file(path))
            func write(_ text: String) {
                #expect(Array(text.utf8).withUnsafeBytes { output.write($0) { true } } == 0)
            }
            _ = output.followRotation(now: .milliseconds(5_000))
            write("old\n")
            try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
            _ = output.followRotation(now: .milliseconds(5_999))
            write("still old: looked less than a second ago\n")
            _ = output.followRotation(now: .milliseconds(6_000))
            write("new\n")
            #expect(lines(path + ".1").count == 2)
            #expect(lines(path) == ["new"])
            // Moved, and another made in its place before anybody looked.
            try FileManager.default.moveItem(atPath: path, toPath: path + ".2")
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            _ = output.followRotation(now: .milliseconds(7_000))
            write("newest\n")
            #expect(lines(path + ".2") == ["new"])
            #expect(lines(path) == ["newest"])
            // The folder is gone: what is open stays open.
            try FileManager.default.moveItem(atPath: folder, toPath: folder + ".away")
            defer { try? FileManager.default.moveItem(atPath: folder + ".away", toPath: folder) }
            _ = output.followRotation(now: .milliseconds(8_000))
            write("kept\n")
            #expect(lines(folder + ".away/log") == ["newest", "kept"])
        }
    }

    @Test func aFileThatCannotBeOpenedIsNamed() {
        #expect {
            _ = try AccessLogSink(.file("/no/such/folder/access.log"), metrics: AgentMetrics())
        } throws: { error in
            let error = error as? TrammelError
            return error?.code == "access_log_open_failed" && error?.message.contains("/no/such/folder") == true
        }
    }

    @Test func aStalledReaderCostsLinesAndNobodyWaits() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/pipe"
            #expect(mkfifo(path, 0o600) == 0)
            let reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
            #expect(reader >= 0)
            defer { close(reader) }
            let metrics = AgentMetrics()
            let limit = 4 * LogChunk.standardCapacity
            let sink = try AccessLogSink(.file(path), queueLimit: limit, metrics: metrics)
            for _ in 0..<50 { _ = sink.exchange(chunk("stuck", lines: 60, length: 1000)) }
            #expect(!sink.waitUntilWritten(seconds: 0.05))
            let dropped = counter(metrics, "trammel_access_log_dropped_total", "queue_full")
            #expect(dropped >= 40 * 60)

            // The reader comes back: all that was kept arrives, whole.
            var received: [UInt8] = []
            let kept = 50 * 60 - Int(dropped)
            var interest = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
            while received.count < kept * 1000, poll(&interest, 1, 5_000) == 1 {
                var block = [UInt8](repeating: 0, count: 65_536)
                let count = read(reader, &block, block.count)
                if count > 0 { received += block[..<count] }
            }
            let text = received.split(separator: UInt8(ascii: "\n"))
            #expect(text.count == kept)
            #expect(text.allSatisfy { $0.count == 999 && $0.starts(with: "stuck".utf8) })
            #expect(sink.close(seconds: 10))
        }
    }

    @Test func closingDoesNotWaitForAReaderThatNeverComesBack() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/pipe"
            #expect(mkfifo(path, 0o600) == 0)
            let reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
            defer { close(reader) }
            let metrics = AgentMetrics()
            let sink = try AccessLogSink(.file(path), metrics: metrics)
            for _ in 0..<4 { _ = sink.exchange(chunk("stuck", lines: 60, length: 1000)) }
            // Giving up on the pipe is an end of the writing too.
            #expect(sink.close(seconds: 10))
            #expect(counter(metrics, "trammel_access_log_dropped_total", "write_failed") > 0)
            _ = sink.exchange(chunk("late"))
            #expect(counter(metrics, "trammel_access_log_dropped_total", "queue_full") == 1)
        }
    }

    @Test func aFIFOWithoutAReaderKeepsNobodyWaiting() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/pipe"
            #expect(mkfifo(path, 0o600) == 0)
            let sink = try AccessLogSink(.file(path), metrics: AgentMetrics())
            _ = sink.exchange(chunk("early"))
            #expect(sink.waitUntilWritten(seconds: 10))
            // Readers come and go; what nobody has read yet waits for the next.
            for text in ["early", "later"] {
                let reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
                defer { close(reader) }
                var block = [UInt8](repeating: 0, count: 100)
                let count = read(reader, &block, block.count)
                #expect(String(decoding: block.prefix(max(0, count)), as: UTF8.self) == text + "\n")
                _ = sink.exchange(chunk("later"))
                #expect(sink.waitUntilWritten(seconds: 10))
            }
            #expect(sink.close(seconds: 10))
        }
    }

    @Test func aStalledFIFOIsLeftWhenTheLogIsOpenedAnew() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/log"
            #expect(mkfifo(path, 0o600) == 0)
            let sink = try AccessLogSink(.file(path), metrics: AgentMetrics())
            for _ in 0..<4 { _ = sink.exchange(chunk("stuck", lines: 60, length: 1000)) }
            #expect(!sink.waitUntilWritten(seconds: 0.05))
            try FileManager.default.moveItem(atPath: path, toPath: path + ".pipe")
            sink.reopen()
            #expect(sink.waitUntilWritten(seconds: 10))
            #expect(lines(path).count >= 4 * 60 - 70)
            #expect(sink.close(seconds: 10))
        }
    }

    @Test func whatIsAmissIsToldOnceAndWhenItIsOver() throws {
        try withTemporaryFolder { folder in
            let told = Mutex<[String]>([])
            let path = folder + "/log"
            let metrics = AgentMetrics()
            let sink = try AccessLogSink(.file(path), metrics: metrics) { line in told.withLock { $0.append(line) } }
            func write(_ text: String) {
                _ = sink.exchange(chunk(text))
                #expect(sink.waitUntilWritten(seconds: 10))
            }
            func reopen() {
                sink.reopen()
                #expect(sink.waitUntilWritten(seconds: 10))
            }
            // A folder in the file's place: lines go on into the file that was moved away.
            try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            for _ in 0..<3 { reopen() }
            write("kept")
            #expect(lines(path + ".1") == ["kept"])
            #expect(told.withLock { $0.count } == 1)
            #expect(told.withLock { $0.last?.contains("Is a directory") } == true)
            try FileManager.default.removeItem(atPath: path)
            // Every write to this one says that the disk is full.
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/full")
            reopen()
            #expect(told.withLock { $0.count } == 2)
            for _ in 0..<3 { write("lost") }
            #expect(told.withLock { $0.count } == 3)
            #expect(told.withLock { $0.last?.contains("No space left") } == true)
            #expect(counter(metrics, "trammel_access_log_dropped_total", "write_failed") == 3)
            try FileManager.default.removeItem(atPath: path)
            reopen()
            write("again")
            #expect(lines(path) == ["again"])
            #expect(told.withLock { $0.count } == 4)
            #expect(sink.close(seconds: 10))
        }
    }

    @Test func smallChunksShareOne() {
        let queue = ChunkQueue(limit: LogChunk.standardCapacity)
        for number in 0..<100 {
            #expect(queue.exchange(chunk("\(number)")).lost == 0)
        }
        guard case .write(let batch) = queue.next() else {
            Issue.record("nothing was queued")
            return
        }
        #expect(batch.count == 1 && batch.first?.lines == 100)
        // While it is being written its memory counts, and it is not added to.
        #expect(queue.exchange(chunk("x")).lost == 1)
        queue.done(batch)
        #expect(queue.exchange(chunk("x")).lost == 0)
    }
}
