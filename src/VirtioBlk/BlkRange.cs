namespace VirtioBlk;

/// <summary>One range of a discard or write-zeroes request, checked against the disk's size.</summary>
/// <param name="Offset">Start, bytes.</param>
/// <param name="Length">Length, bytes.</param>
/// <param name="Unmap">Whether its space may be given back.</param>
internal readonly record struct BlkRange(long Offset, long Length, bool Unmap);
