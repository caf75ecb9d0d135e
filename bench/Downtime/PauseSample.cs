namespace Downtime;

/// <summary>One pause.</summary>
/// <param name="Micros">From the request to stop until the guest ran again; docs/benchmarks.md says which two moments each method means.</param>
/// <param name="AllocatedBytes">What the pausing thread put on the managed heap meanwhile; null where another process paused.</param>
internal readonly record struct PauseSample(long Micros, long? AllocatedBytes);
