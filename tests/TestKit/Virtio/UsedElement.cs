namespace TestKit.Virtio;

/// <summary>An entry of the used ring.</summary>
public readonly record struct UsedElement(uint Id, uint Length);
