/// What the reader of a stream finds when it looks.
package enum Polled<Event: Sendable>: Sendable {
    case event(Event)
    /// Nothing now: the bell rings when it is worth looking again.
    case nothing
    /// Nothing any more.
    case ended
}

extension Polled: Equatable where Event: Equatable {}

/// Where the events of one streamed answer come from: one reader, who looks, and waits for the bell when there is nothing.
///
/// What a source keeps for a reader who does not come is bounded, by whichever means fit: a buffer that counts what did
/// not fit in (`EventBuffer`), or a place in a history that is forgotten in the end.
package protocol EventSource<Event>: AnyObject, Sendable {
    associatedtype Event: Sendable

    var bell: Doorbell { get }
    /// The next event, without waiting.
    func poll() -> Polled<Event>
    /// What to say after a while in which nothing happened, so that a reader who is gone is found; nil for an empty
    /// line.
    func silence() -> Event?
    /// The reader is gone, or has all that it gets. Called once.
    func cancel()
}

extension EventSource {
    package func silence() -> Event? { nil }
}
