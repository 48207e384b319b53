/// Whether calls to a workload's application are carried on with the client's address as their source.
package struct SourceKeeping: Hashable, Sendable {
    package let isPossible: Bool
    /// A sentence for whoever asks why.
    package let reason: String
}
