namespace Downtime.Qemu;

/// <summary>An event of QEMU's, with the time at which QEMU says it was.</summary>
/// <param name="Name">Its name, or for a migration's progress <c>MIGRATION</c> and the status.</param>
/// <param name="Micros">Microseconds of the host's wall clock.</param>
internal readonly record struct QmpEvent(string Name, long Micros);
