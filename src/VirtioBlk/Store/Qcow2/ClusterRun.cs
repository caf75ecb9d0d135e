namespace VirtioBlk.Store.Qcow2;

/// <summary>Clusters of the image file that follow each other.</summary>
/// <param name="First">Index of the first.</param>
/// <param name="Count">How many.</param>
/// <param name="IsFresh">The file was never written there: it reads as zeros.</param>
internal readonly record struct ClusterRun(long First, int Count, bool IsFresh = false);
