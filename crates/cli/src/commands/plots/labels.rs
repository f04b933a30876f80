//! Where the names of points stand, so that none covers another.

/// Height of a name, in pixels.
pub const FONT: i32 = 16;

/// Radius of a point.
pub const RADIUS: i32 = 4;

/// Width of a letter, about.
const LETTER: i32 = 8;

/// Between a point and its name.
const GAP: i32 = 4;

/// A name moves away from its point in steps of this, …
const STEP: i32 = 12;

/// … so often at most.
const STEPS: i32 = 30;

/// A rectangle in pixels, from left to right and from top to bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub left: i32,
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
}

impl Frame {
    /// The place in it that is nearest to a point.
    pub fn nearest(self, (x, y): (i32, i32)) -> (i32, i32) {
        (x.clamp(self.left, self.right), y.clamp(self.top, self.bottom))
    }

    fn of_name(name: &str, left: i32, top: i32) -> Self {
        Self { left, top, right: left + width(name), bottom: top + FONT }
    }

    fn of_point((x, y): (i32, i32)) -> Self {
        Self { left: x - RADIUS, top: y - RADIUS, right: x + RADIUS, bottom: y + RADIUS }
    }

    fn meets(self, other: Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn holds(self, other: Self) -> bool {
        self.left <= other.left && self.top <= other.top && other.right <= self.right && other.bottom <= self.bottom
    }
}

/// A place for the name of every point: the nearest of a few around it that is free and in the picture; if there is none,
/// the first.
pub fn arrange(points: &[(i32, i32)], names: &[String], picture: Frame) -> Vec<Frame> {
    let of_points: Vec<Frame> = points.iter().copied().map(Frame::of_point).collect();
    let mut placed: Vec<Frame> = Vec::new();
    for (point, name) in points.iter().zip(names) {
        let near: Vec<Frame> = (0..STEPS).flat_map(|step| around(*point, name, step * STEP)).collect();
        let is_free = |frame: &&Frame| {
            picture.holds(**frame) && !placed.iter().chain(&of_points).any(|other| frame.meets(*other))
        };
        let chosen = *near.iter().find(is_free).unwrap_or(&near[0]);
        placed.push(chosen);
    }
    placed
}

/// Places for a name at a distance from its point.
fn around((x, y): (i32, i32), name: &str, far: i32) -> [Frame; 8] {
    let (gap, middle) = (RADIUS + GAP, y - FONT / 2);
    let (right, left, centre) = (x + gap, x - gap - width(name), x - width(name) / 2);
    let (above, below) = (y - gap - FONT - far, y + gap + far);
    [
        (right + far, middle),
        (left - far, middle),
        (centre, above),
        (centre, below),
        (right, above),
        (right, below),
        (left, above),
        (left, below),
    ]
    .map(|(left, top)| Frame::of_name(name, left, top))
}

fn width(name: &str) -> i32 {
    LETTER * name.chars().count() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_crowded_points_cover_neither_each_other_nor_a_point_and_stay_in_the_picture() {
        let picture = Frame { left: 60, top: 40, right: 900, bottom: 580 };
        let points: Vec<(i32, i32)> = (0..14).map(|i| (840 + 3 * (i % 4), 300 + 5 * i)).collect();
        let names: Vec<String> = (0..14).map(|i| format!("rff:features={i},nu=2,prior=0.75")).collect();
        let placed = arrange(&points, &names, picture);
        assert_eq!(placed.len(), 14);
        for (i, frame) in placed.iter().enumerate() {
            assert!(picture.holds(*frame), "{frame:?}");
            assert!(placed[..i].iter().all(|other| !frame.meets(*other)), "{frame:?}");
            assert!(points.iter().all(|point| !frame.meets(Frame::of_point(*point))), "{frame:?}");
        }
    }

    #[test]
    fn a_name_stands_to_the_right_of_a_lonely_point() {
        let picture = Frame { left: 0, top: 0, right: 500, bottom: 500 };
        let placed = arrange(&[(100, 100)], &["exp".into()], picture);
        assert_eq!(placed, [Frame { left: 108, top: 92, right: 132, bottom: 108 }]);
        assert_eq!(placed[0].nearest((100, 100)), (108, 100));
    }
}
