import NIOCore
import TrammelCore

/// Something that has to be looked at when time passes: a connection, an idle upstream.
protocol DeadlineOwner: AnyObject {
    /// The deadline that was last set has passed. Sets a new one or none.
    func deadlinePassed(_ now: MonotonicTime)
}

/// One owner's place in the wheel. Setting a later deadline costs a store, so a request may move its connection's
/// deadline without touching the wheel; when the wheel comes by too early, it puts the node in again.
final class DeadlineNode {
    /// The owner outlives its place in the wheel: it cancels when it closes.
    unowned let owner: any DeadlineOwner
    fileprivate(set) var deadline = MonotonicTime(nanoseconds: .max)
    fileprivate var tick: UInt64 = 0
    fileprivate var slot = LoopTimers.none
    fileprivate var next: DeadlineNode?
    fileprivate unowned(unsafe) var previous: DeadlineNode?

    init(owner: any DeadlineOwner) { self.owner = owner }

    fileprivate var isLinked: Bool { slot != LoopTimers.none }
}

/// The deadlines of one event loop: a wheel of 512 slots of 10 ms. A deadline beyond the wheel's five seconds waits in
/// the farthest slot and is put in again from there. No timer runs while no deadline is set.
///
/// Deadlines are met up to 20 ms late and never early.
final class LoopTimers {
    private static let slotCount: UInt64 = 512
    private static let tickLength: UInt64 = 10_000_000
    /// Behind the wheel's own: what a turn has taken out of the wheel and not yet looked at.
    private static let due = Int16(slotCount)
    fileprivate static let none: Int16 = -1

    private var slots: [DeadlineNode?]
    private var linked = 0
    /// Every slot up to this tick has been looked at.
    private var currentTick: UInt64
    private var armedTick: UInt64?
    private let loop: any EventLoop
    private let clock: () -> MonotonicTime

    init(loop: any EventLoop, clock: @escaping () -> MonotonicTime = MonotonicTime.now) {
        self.loop = loop
        self.clock = clock
        slots = Array(repeating: nil, count: Int(LoopTimers.slotCount) + 1)
        currentTick = clock().nanoseconds / LoopTimers.tickLength
    }

    /// How many owners have a place in the wheel.
    var count: Int { linked }

    /// Sets the owner's deadline, in place of any earlier one.
    func set(_ node: DeadlineNode, _ deadline: MonotonicTime, now: MonotonicTime) {
        node.deadline = deadline
        let tick = deadline.nanoseconds / LoopTimers.tickLength &+ 1
        if node.isLinked {
            if tick >= node.tick { return }
            unlink(node)
        }
        place(node, tick: tick, now: now)
    }

    func cancel(_ node: DeadlineNode) {
        node.deadline = MonotonicTime(nanoseconds: .max)
        if node.isLinked { unlink(node) }
    }

    /// Takes the deadline away, but leaves the node in the wheel until the wheel comes by: for an owner that will soon
    /// set another, at the cost of a store.
    func suspend(_ node: DeadlineNode) {
        node.deadline = MonotonicTime(nanoseconds: .max)
    }

    private func place(_ node: DeadlineNode, tick wanted: UInt64, now: MonotonicTime) {
        if linked == 0 { currentTick = max(currentTick, now.nanoseconds / LoopTimers.tickLength) }
        let tick = min(max(wanted, currentTick &+ 1), currentTick &+ LoopTimers.slotCount &- 1)
        node.tick = tick
        link(node, into: Int16(tick % LoopTimers.slotCount))
        linked += 1
        arm(tick)
    }

    private func link(_ node: DeadlineNode, into slot: Int16) {
        node.slot = slot
        node.previous = nil
        node.next = slots[Int(slot)]
        slots[Int(slot)]?.previous = node
        slots[Int(slot)] = node
    }

    private func unlink(_ node: DeadlineNode) {
        if let previous = node.previous {
            previous.next = node.next
        } else {
            slots[Int(node.slot)] = node.next
        }
        node.next?.previous = node.previous
        node.next = nil
        node.previous = nil
        node.slot = LoopTimers.none
        linked -= 1
    }

    private func arm(_ tick: UInt64) {
        if let armedTick, armedTick <= tick { return }
        armedTick = tick
        let due = NIODeadline.uptimeNanoseconds(tick &* LoopTimers.tickLength)
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(deadline: due) { bound.value.turn(armedFor: tick) }
    }

    private func turn(armedFor tick: UInt64) {
        // An earlier deadline armed another timer meanwhile, which has taken this one's work.
        guard armedTick == tick else { return }
        armedTick = nil
        let now = clock()
        takeOut(upTo: now.nanoseconds / LoopTimers.tickLength)
        while let node = slots[Int(LoopTimers.due)] {
            unlink(node)
            if node.deadline.nanoseconds == .max { continue }
            if node.deadline <= now {
                node.deadline = MonotonicTime(nanoseconds: .max)
                node.owner.deadlinePassed(now)
            } else {
                place(node, tick: node.deadline.nanoseconds / LoopTimers.tickLength &+ 1, now: now)
            }
        }
        rearm()
    }

    /// Moves the wheel on before anything is put in again, by an owner or by the turn itself: what goes in is then ahead
    /// of the wheel, however late the turn is, and no turn meets its own work.
    private func takeOut(upTo tick: UInt64) {
        // After a long stall one round over all slots sees every node.
        let last = min(tick, currentTick &+ LoopTimers.slotCount)
        while currentTick < last {
            currentTick &+= 1
            let slot = Int(currentTick % LoopTimers.slotCount)
            var next = slots[slot].take()
            while let node = next {
                next = node.next
                link(node, into: LoopTimers.due)
            }
        }
        currentTick = max(currentTick, tick)
    }

    private func rearm() {
        guard linked > 0 else { return }
        for offset in 1..<LoopTimers.slotCount where slots[Int((currentTick &+ offset) % LoopTimers.slotCount)] != nil {
            return arm(currentTick &+ offset)
        }
    }
}
