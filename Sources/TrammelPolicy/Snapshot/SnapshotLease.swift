/// One event loop's hold on a snapshot.
///
/// A loop makes one when it learns of a new snapshot, and its connections and exchanges hold the lease instead of the
/// snapshot: the lease's count is touched by one thread only, where the snapshot's would be fought over by all.
package final class SnapshotLease {
    package let snapshot: RuntimeSnapshot

    package init(_ snapshot: RuntimeSnapshot) { self.snapshot = snapshot }
}
