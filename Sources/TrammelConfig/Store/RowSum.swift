/// What a row is checked against when it is read: SQLite tells a damaged tree from a whole one, and takes any byte within
/// a value for true. A port that a bad disk has made another must not carry traffic.
enum RowSum {
    /// FNV-1a over the values, each with its kind and length.
    static func of(_ values: [SQLValue]) -> Int64 {
        var sum: UInt64 = 0xCBF2_9CE4_8422_2325
        func add(_ byte: UInt8) { sum = (sum ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        func addNumber(_ number: UInt64) {
            var rest = number
            for _ in 0..<8 {
                add(UInt8(truncatingIfNeeded: rest))
                rest >>= 8
            }
        }
        func addBytes(_ bytes: some Collection<UInt8>, kind: UInt8) {
            add(kind)
            addNumber(UInt64(bytes.count))
            for byte in bytes { add(byte) }
        }
        for value in values {
            switch value {
            case .null: add(0)
            case .integer(let number):
                add(1)
                addNumber(UInt64(bitPattern: number))
            case .text(let text): addBytes(text.utf8, kind: 2)
            case .blob(let bytes): addBytes(bytes, kind: 3)
            }
        }
        return Int64(bitPattern: sum)
    }

    /// The values with their sum behind them, as a row holds them.
    static func sealing(_ values: [SQLValue]) -> [SQLValue] { values + [.integer(of(values))] }
}
