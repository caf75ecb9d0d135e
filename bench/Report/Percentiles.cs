namespace Report;

/// <summary>What a set of times comes to. Percentiles are by nearest rank: each is a value that was measured.</summary>
/// <param name="Count">How many there are.</param>
/// <param name="P50">Median, microseconds.</param>
/// <param name="P95">95th percentile.</param>
/// <param name="P99">99th percentile.</param>
/// <param name="Max">The longest.</param>
public sealed record Percentiles(int Count, long P50, long P95, long P99, long Max)
{
    /// <summary>Computes them.</summary>
    /// <param name="micros">At least one time.</param>
    public static Percentiles Of(IEnumerable<long> micros)
    {
        long[] sorted = [.. micros.Order()];
        if (sorted.Length == 0) throw new ArgumentException("Nothing was measured", nameof(micros));
        return new Percentiles(sorted.Length, Rank(0.50), Rank(0.95), Rank(0.99), sorted[^1]);

        long Rank(double rank) => sorted[Math.Max((int)Math.Ceiling(rank * sorted.Length) - 1, 0)];
    }
}
