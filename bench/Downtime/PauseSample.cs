namespace Downtime;

/// <summary>One pause.</summary>
/// <param name="Micros">From the request to stop until the last vCPU of the next machine had entered the guest.</param>
/// <param name="AllocatedBytes">What the pausing thread put on the managed heap meanwhile.</param>
internal readonly record struct PauseSample(long Micros, long AllocatedBytes);
