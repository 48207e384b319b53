import TrammelConfig
import TrammelCore

/// Which files of the directory can be in force together.
///
/// All of them, as a rule, in one transaction. Where a set of files contradicts itself or what is there, the fewest
/// possible keep their last good version: halves are tried, then halves of these, so that one bad file among thousands
/// is found in a few steps and holds up no other.
struct Admission: Sendable {
    /// Nil where not even what is left without any new version can be applied; `failure` says why.
    private(set) var applied: AppliedBatch?
    private(set) var accepted: Set<String> = []
    /// By path.
    private(set) var refused: [String: ConfigErrors] = [:]
    private(set) var failure: ConfigErrors?

    /// What was applied through the API and is the directory's now.
    var taken: [ConfigError] { applied?.warnings.filter { $0.code == .owned } ?? [] }

    private let files: ConfigFiles
    private let set: ResourceSet
    private let vips: VIPAllocator
    private let now: WallTime

    init(_ files: ConfigFiles, over set: ResourceSet, _ vips: VIPAllocator, now: WallTime = .now()) {
        self.files = files
        self.set = set
        self.vips = vips
        self.now = now
        admit(files.candidates)
        // One that was in the way of another may have gone out of it since.
        var left = refused.count
        while left > 0 {
            let again = refused.keys.sorted(by: ConfigFiles.order)
            refused = [:]
            admit(again)
            guard refused.count < left else { break }
            left = refused.count
        }
        if applied == nil {
            do throws(ConfigErrors) {
                applied = try attempt(accepted)
            } catch {
                failure = error
            }
        }
    }

    private mutating func admit(_ paths: [String]) {
        guard !paths.isEmpty else { return }
        do throws(ConfigErrors) {
            applied = try attempt(accepted.union(paths))
            accepted.formUnion(paths)
        } catch {
            if paths.count == 1 {
                refused[paths[0]] = error
            } else {
                admit(Array(paths[..<(paths.count / 2)]))
                admit(Array(paths[(paths.count / 2)...]))
            }
        }
    }

    private func attempt(_ accepted: Set<String>) throws(ConfigErrors) -> AppliedBatch {
        let (batch, options) = files.batch(accepting: accepted, over: set)
        let applied = try set.applying(batch, options)
        var next = vips
        do throws(TrammelError) {
            _ = try next.allocate(for: applied.set, now: now)
        } catch {
            let place = accepted.sorted(by: ConfigFiles.order).first ?? "configuration directory"
            throw ConfigErrors(errors: [
                ConfigError(.conflict, location: SourceLocation(file: place, line: 1), error.message, hint: error.hint)
            ])
        }
        return applied
    }
}
