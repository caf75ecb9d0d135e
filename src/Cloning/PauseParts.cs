namespace Cloning;

/// <summary>Where a pause went, in microseconds.</summary>
/// <param name="Stop">Until the vCPUs had parked and the disks were between two requests.</param>
/// <param name="Save">Reading the old machine's state; 0 for a switch.</param>
/// <param name="Load">Writing it into the next machine; for a switch, the commit.</param>
/// <param name="Release">Letting the next machine's disks and vCPUs go.</param>
/// <param name="Enter">From there until its last vCPU had entered the guest; 0 where it had by then.</param>
internal readonly record struct PauseParts(long Stop, long Save, long Load, long Release, long Enter);
